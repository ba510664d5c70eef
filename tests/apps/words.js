// Prints its arguments, a NUL after each.
for (const word of process.argv.slice(2)) {
    process.stdout.write(word + "\0");
}
