"""An OpenID provider seen from the hub: what is asked of it, its keys, its tokens, and whom its groups let in."""
