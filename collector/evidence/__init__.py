"""The packets behind observations, kept for a while where they were read: few, bounded by bytes and by age.

`witness` holds the packets of flows that are still read, until something is observed of them; `ring` writes what an
observation rests on to disk, and lets the oldest go; `segments` is the form of its files, and finds packets by
observation; `exhibit` makes a pcapng of them; `exchange` is the question for them and its answer, and `answering` the
thread that answers.
"""
