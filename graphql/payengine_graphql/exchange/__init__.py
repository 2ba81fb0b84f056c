"""What is an amount worth in another currency, who said so, and what was exchanged?"""
