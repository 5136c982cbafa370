"""`python -m channelwise` is the command `channelwise`."""

from channelwise.command import main

main()
