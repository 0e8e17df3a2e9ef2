"""The rules, by what they are about; a new one goes into :mod:`..rule_table`, too."""
