"""Rules that read a project's code and say what will hurt: one class a rule, found in :mod:`.rule_table`.

A rule looks at one file (:class:`.rule.FileRule`), or at the static index of the whole tree (:class:`.rule.TreeRule`).
Nothing of the project is imported. A rule that is not sure stays silent.
"""
