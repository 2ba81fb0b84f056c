"""What did customers use?"""
