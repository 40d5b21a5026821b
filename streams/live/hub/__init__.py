"""The Hugging Face Hub: repositories that changed, looked at one by one."""
