"""What would have been said of these payments, at the time?"""
