"""What must happen later, exactly once?"""
