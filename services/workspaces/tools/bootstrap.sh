# Installs the tools that a repository pins, with mise, in the guest. POSIX shell:
#
#   sh -c TEXT sh LOG DIRECTORY [here NAME | pin NAME@VERSION]...
#
# "here" is a tool of a file that mise itself reads in DIRECTORY; mise knows its version from there.
# Standard output gets one line for each step, LOG all that the programs say. A tool that cannot be
# installed keeps no other one from it. Those of "pin" that are installed are named in
# DIRECTORY/.git/banger/tools, where the program that runs commands in the guest finds them
# (vm_supervisor/guest/rootfs/exec).

log=$1 directory=$2
shift 2
mkdir -p "${log%/*}"
exec 3>&1 >>"$log" 2>&1 </dev/null
export MISE_YES=1 MISE_TRUSTED_CONFIG_PATHS="$directory"

say() {
    echo "$(date -u +%FT%TZ) $1"
    echo "$1" >&3
}

# One at a time: a second one finds what the first has installed.
! command -v flock >/dev/null || flock 1

find_mise() {
    mise=$(command -v mise) && return
    mise=$HOME/.local/bin/mise
    [ -x "$mise" ]
}

# The installer of mise.run checks the checksum of what it downloads. It is run when all of it is here.
fetch_mise() {
    say "installing mise"
    installer=$(mktemp) || return 1
    if command -v curl >/dev/null; then
        curl -fsSL --retry 3 --connect-timeout 20 --max-time 300 -o "$installer" https://mise.run
    else
        wget -q -O "$installer" https://mise.run
    fi && MISE_INSTALL_PATH=$HOME/.local/bin/mise sh "$installer"
    rm -f "$installer"
    find_mise
}

# install here|pin TOOL
install() {
    if [ "$1" = here ]; then
        cd -- "$directory" || return 1
    else
        cd / # where no file of the repository's can spoil it
    fi
    "$mise" install "$2"
}

record() {
    cd -- "$directory" && [ -d .git ] || return
    if [ -n "$installed" ]; then
        mkdir -p .git/banger &&
            echo "$installed" >.git/banger/tools.new && mv .git/banger/tools.new .git/banger/tools
    else
        rm -f .git/banger/tools
    fi
}

if ! find_mise && ! fetch_mise; then
    say "mise could not be installed"
    exit 1
fi
# Also for those who use mise in a shell of theirs.
for file in mise.toml .mise.toml; do
    [ ! -f "$directory/$file" ] || "$mise" trust "$directory/$file"
done
installed='' failed=''
while [ $# -gt 1 ]; do
    say "installing $2"
    if ! (install "$1" "$2"); then
        say "$2 could not be installed"
        failed="$failed $2"
    elif [ "$1" = pin ]; then
        installed="$installed${installed:+ }$2"
    fi
    shift 2
done
record
say "finished${failed:+, without$failed}"
[ -z "$failed" ]
