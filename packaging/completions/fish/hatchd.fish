# fish completion for hatchd(8): see hatchctl.fish, which has all of it.  Behind -- stands a
# program with its arguments.

functions -q __hatchd_complete
or source (status dirname)/hatchctl.fish

complete -c hatchd -f -n 'not contains -- -- (commandline -opc)' \
    -a '(__hatchd_complete (commandline -opc)[1] false)'
