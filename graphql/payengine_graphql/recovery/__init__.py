"""Where does a customer pay what could not be collected?"""
