"""What does the API say of what waits for a person?"""
