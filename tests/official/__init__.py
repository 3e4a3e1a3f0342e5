"""Every catalog entry's archives in small: real photos and records, named and nested as the entries expect them."""
