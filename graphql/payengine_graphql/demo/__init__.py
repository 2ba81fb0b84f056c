"""What does the platform look like when people buy?"""
