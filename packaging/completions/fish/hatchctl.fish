# fish completion for hatchctl(8)
#
# Nothing is written down twice: options, commands and columns are those of --help, and
# services those of the running hatchd.

# A line SHORT, LONG, VALUE and WHAT, with tabs between them, for each option in the help.
function __hatchd_options
    $argv --help 2>/dev/null | sed -nE \
        's/^ {2,6}(-([[:alnum:]]), | *)--([a-z0-9-]+)([ =]([^ ]+( [A-Z]+)?))?( +(.*))?$/\2\t\3\t\5\t\8/p'
end

# __hatchd_value WORD PROGRAM [COMMAND]: what the option of that spelling takes.
function __hatchd_value
    for line in (__hatchd_options $argv[2..])
        set -l parts (string split \t -- $line)
        if contains -- "$argv[1]" "--$parts[2]" "-$parts[1]"
            echo $parts[3]
            return
        end
    end
end

# __hatchd_offer_value VALUE CONTROL PROGRAM [COMMAND]: what can stand there, by the word of the
# help for it.
function __hatchd_offer_value
    set -l ask hatchctl
    test -n "$argv[2]"; and set -a ask --control $argv[2]
    switch $argv[1]
        case COLUMNS
            set -l before (string match -r '^.*,|^\\+' -- (commandline -ct))
            $argv[3..] --help 2>/dev/null |
                sed -nE '1,/^Columns:/d; s/^  ([A-Z_]+) +(.*)/\L\1\t\E\2/p' |
                while read -l line
                    echo "$before$line"
                end
        case 'CONNECTION*' ID
            $ask connections -rno id 2>/dev/null
        case 'FILE*' PATH 'DIR*'
            __fish_complete_path (commandline -ct)
        case 'SERVICE*'
            $ask list -rno service 2>/dev/null
        case SOURCE
            $ask bans -rno source 2>/dev/null
        case WHEN
            printf '%s\n' always auto never
        case '*|*'
            string split '|' -- $argv[1] | string match -rv '[A-Z]'
            string match -q '*PATH*' -- $argv[1]; and __fish_complete_path (commandline -ct)
    end
end

# __hatchd_argument N PROGRAM COMMAND: the word of the usage for its Nth argument, from 1.
function __hatchd_argument
    set -l usage ($argv[2] $argv[3] --help 2>/dev/null | sed -nE \
        "1{s/^Usage: hatchctl $argv[3]//; s/\\[-[^]]*\\]//g; s/\\[[A-Z]*OPTION[^ ]*//g; p;}")
    set -l words (string match -ra '\\S+' -- $usage)
    test (count $words) -ge $argv[1]; and string replace -ra '[^A-Z]' '' -- $words[$argv[1]]
end

# __hatchd_complete PROGRAM BOOLEAN: whether its first word is a command.
function __hatchd_complete
    set -l program $argv[1]
    set -l takes_command $argv[2]
    set -l command
    set -l control
    set -l wanted
    set -l arguments 0
    set -l current (commandline -ct)

    for word in (commandline -opc)[2..]
        if test -n "$wanted"
            string match -q 'PATH*' -- $wanted; and set control $word
            set wanted
        else if test "$word" = --
            return
        else if string match -q -- '--*=*' $word
            set -l parts (string split -m 1 = -- $word)
            test "$parts[1]" = --control; and set control $parts[2]
        else if string match -q -- '-*' $word
            set wanted (__hatchd_value $word $program $command)
        else if test $takes_command = true -a -z "$command"
            set command (string replace -ra '[^a-z-]' '' -- $word)
        else
            set arguments (math $arguments + 1)
        end
    end

    if test -n "$wanted"
        __hatchd_offer_value $wanted "$control" $program $command
    else if string match -q -- '--*=*' $current
        set -l option (string split -m 1 = -- $current)[1]
        for value in (__hatchd_offer_value (__hatchd_value $option $program $command) \
            "$control" $program $command)
            echo "$option=$value"
        end
    else if string match -q -- '-*' $current
        for line in (__hatchd_options $program $command)
            set -l parts (string split \t -- $line)
            printf '%s\t%s\n' --$parts[2] "$parts[4]"
        end
    else if test $takes_command = true -a -z "$command"
        $program --help 2>/dev/null |
            sed -nE '1,/^Commands:/d; s/^  ([a-z][a-z-]*) +(.*)/\1\t\2/p'
    else if test -n "$command"
        set -l kind (__hatchd_argument (math $arguments + 1) $program $command)
        test -n "$kind"; and __hatchd_offer_value $kind "$control" $program $command
    end
end

complete -c hatchctl -f -a '(__hatchd_complete (commandline -opc)[1] true)'
