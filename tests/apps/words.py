# Prints its arguments, a NUL after each.
import sys

for word in sys.argv[1:]:
    sys.stdout.write(word + "\0")
