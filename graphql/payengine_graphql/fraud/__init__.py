"""What does the API say of fraud?"""
