"""`python -m channelwise` is the command `channelwise`."""

from channelwise.command import main

if __name__ == "__main__":
    main()
