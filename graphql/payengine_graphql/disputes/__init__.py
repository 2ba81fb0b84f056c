"""What does the API say of disputes?"""
