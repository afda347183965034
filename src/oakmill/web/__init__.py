"""What people see: pages on the server's side, forms drawn from the specs, and small ES modules."""
