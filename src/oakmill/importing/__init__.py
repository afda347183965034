"""Models from elsewhere: from Hugging Face and from HubAI, with what is known of where they come from."""
