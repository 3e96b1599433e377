"""The adapter by which ``mythos ctvp verify`` judges this package::

    mythos ctvp verify --impl 'python3 -m mythos.conformance'

It reads one request and writes one answer, one JSON object on one line each,
until its input ends. The contract is ctvp/README.md of the project; the ops of
each suite call the package's own code and judge nothing.
"""
