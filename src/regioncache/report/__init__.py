"""What people look at: pictures and facts of a cache."""
