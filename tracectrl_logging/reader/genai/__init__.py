"""What spans and log records say of models, tools and agents."""
