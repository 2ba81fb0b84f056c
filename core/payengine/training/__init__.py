"""What does an operator do about learned models? The commands `payengine fraud …`."""
