"""What is computed once per dataset: tokens, prompts, stored images."""
