"""Figures of dances: ``metrics`` has the definitions, ``protocol`` what is measured on what, ``cli`` the table."""
