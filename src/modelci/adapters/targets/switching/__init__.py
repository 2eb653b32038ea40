"""What keeps a target's releases answering: their processes, and the switch in front of them.

A supervisor (``supervisor``) starts a process per release and a switch, ours (``proxy``) or HAProxy
(``haproxy``), and follows ``state.json``. Each is a process of its own: any of them can be killed
while the others go on.
"""
