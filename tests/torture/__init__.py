"""The torture: kill -9 under load, wherever something is done and something else is not yet.

Several processes run the whole platform on one database, against the sandbox as a process of its
own, which loses replies, hangs and refuses now and then, and tells of everything by webhooks: late,
twice, in another order or not at all. Callers pay, capture, void and refund, and repeat each call
under its key until it is answered; their customers authenticate, and dispute. Meanwhile processes
die, one after another, at named places or at any moment, and others take up what they left. Then
all is let come to rest, and the oracle is asked. docs/torture.md tells how to run it.

Reading order: storm, blows, fleet, worker, traffic, told, stage, outside, news.
"""
