# Brings a repository that is in the guest up to date; POSIX shell, cp, dd, rm, tar, xargs and git.
#
#   $1 path    of the repository
#   $2 token   names what is staged: .git/banger/incoming-TOKEN
#
# It first says "refused WORD", or "state PREPARED BASE COMMIT INCOMING REF": refs/banger/prepared and
# base, what HEAD is, the commit of an update that was cut off, HEAD's branch; "-" for none. Then it
# does what it is told, a line each:
#
#   check BYTES      a list of files follows; says how they differ from what was placed (and from
#                    what was about to be), as raw output of git diff-index, with "." NUL at the end
#   update BYTES FORCE HEAD REF
#                    an archive follows, and a pack up to the end if the archive has .git/banger/pack.
#                    HEAD: the host's commit ("-": none), REF: its branch ("-": detached). FORCE: 1
#                    or 0. Says stages, and at last "placed COMMIT followed" or "placed COMMIT kept"
#
# refs/banger/incoming stands from before the first file is changed until refs/banger/prepared is.
# Files are staged and then linked into place, so each is old or new.

export LC_ALL=C GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0 \
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
    GIT_AUTHOR_NAME=banger GIT_COMMITTER_NAME=banger \
    GIT_AUTHOR_EMAIL=banger@localhost GIT_COMMITTER_EMAIL=banger@localhost
unset GIT_WORK_TREE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE
umask 022
path=$1 token=$2

refuse() { echo "refused $1"; exit 0; }
fail() { [ -z "$1" ] || echo "$1" >&2; exit 1; }
git_() {
    git -c core.fsync=none -c core.fsmonitor=false -c core.safecrlf=false -c gc.auto=0 \
        -c core.hooksPath=/dev/null -c core.splitIndex=false -c submodule.recurse=false "$@"
}

# started PID: when, in clock ticks since the boot (proc_pid_stat(5)).
started() {
    read -r stat 2>/dev/null <"/proc/$1/stat" || return
    set -- ${stat##*) }
    echo "${20}"
}

# end_older PATH-TOKEN...: the scripts whose leftovers these are may still be at work: their worker
# was ended a moment ago. Each has its token in its arguments. A younger one has replaced this one.
end_older() {
    for old in "$@"; do
        [ -e "$old" ] || continue
        for each in $(grep -ls -- "${old##*-}" /proc/[0-9]*/cmdline); do
            each=${each#/proc/}
            each=${each%/cmdline}
            since=$(started "$each")
            [ "${since:-0}" -ge "$(started $$)" ] || kill -9 "$each" 2>/dev/null
        done
    done
}

# What git leaves when the guest ends under it. No git of the guest's is touched.
remove_stale_locks() {
    for each in /proc/[0-9]*/comm; do
        ! { read -r name <"$each"; } 2>/dev/null || [ "$name" != git ] || return 0
    done
    rm -f .git/index.lock .git/HEAD.lock .git/packed-refs.lock ".git/$ref.lock" .git/refs/banger/*.lock
}

command -v git >/dev/null || refuse git
if [ ! -e "$path" ]; then
    end_older "${path%/*}/.${path##*/}.banger-"*
    [ -e "$path" ] || refuse absent
fi
cd -- "$path" 2>/dev/null && [ -d .git ] || refuse absent
top=$PWD ours=$PWD/.git/banger
export GIT_DIR="$top/.git"
stage=$ours/incoming-$token
end_older "$ours"/incoming-* "$ours"/index-*
leave() { rm -rf -- "$stage" "$ours/index-$token"; }
trap leave EXIT
trap 'exit 3' HUP INT TERM PIPE

# take BYTES: exactly so many of stdin.
take() {
    blocks=$(($1 / 65536)) rest=$(($1 % 65536))
    [ $blocks = 0 ] || dd bs=65536 count=$blocks iflag=fullblock 2>/dev/null
    [ $rest = 0 ] || dd bs=$rest count=1 iflag=fullblock 2>/dev/null
}

read_state() {
    read -r ref <.git/HEAD || refuse absent
    case $ref in
    'ref: '*) ref=${ref#ref: } commit=- ;;
    *) commit=$ref ref=- ;;
    esac
    prepared=- base=- incoming=-
    refs=$(git_ for-each-ref --format='%(objectname) %(refname)' refs/banger "$ref" 2>/dev/null)
    while read -r oid each; do
        case $each in
        refs/banger/prepared) prepared=$oid ;;
        refs/banger/base) base=$oid ;;
        refs/banger/incoming) incoming=$oid ;;
        "$ref") commit=$oid ;;
        esac
    done <<EOF
$refs
EOF
    [ "$prepared" != - ] || refuse foreign
    [ "$incoming" = - ] || remove_stale_locks
}

# The index of what was placed, with the files of the list as they are now.
check() {
    mkdir -p "$ours" || fail
    for old in "$ours"/incoming-* "$ours"/index-*; do
        [ ! -e "$old" ] || rm -rf -- "$old"
    done
    export GIT_INDEX_FILE="$ours/index-$token"
    take "$1" >"$ours/list" || fail
    git_ read-tree "$prepared" || fail
    git_ update-index --add --remove --replace -z --stdin <"$ours/list" || fail
    git_ diff-index --cached --raw -z --no-renames "$prepared" || fail
    printf '.\000'
    if [ "$incoming" != - ]; then
        git_ diff-index --cached --raw -z --no-renames "$incoming" || fail
        printf '.\000'
    fi
}

# The new state as a commit, and its files in the staging directory.
stage_files() {
    git_ update-index --add --replace -z --index-info <"$ours/entries" || fail
    mkdir -p "$stage/files" || fail
    (
        cd "$stage/files" && export GIT_WORK_TREE="$stage/files" &&
            git_ update-index --add --replace -z --stdin <"$ours/track"
    ) || fail
    tree=$(git_ write-tree) || fail
    parent=$head
    [ "$parent" != - ] || parent=
    placed=$(git_ commit-tree ${parent:+-p "$parent"} -m 'What banger placed' "$tree" </dev/null) ||
        fail
    [ -s "$ours/checkout" ] || return 0
    # In a git directory of its own, whose attributes keep git from converting files.
    GIT_OBJECT_DIRECTORY="$top/.git/objects" GIT_DIR="$stage/git" GIT_WORK_TREE="$stage/files" \
        git_ checkout-index -q -f -z --prefix="$stage/files/" --stdin <"$ours/checkout" || fail
}

put_in_place() {
    git_ update-ref refs/banger/incoming "$placed" || fail
    [ "$force" = 0 ] || set -- -r
    [ ! -s "$ours/gone" ] || xargs -0 rm -f "$@" -- <"$ours/gone" || fail
    [ ! -s "$ours/emptied" ] || xargs -0 rmdir -- <"$ours/emptied" 2>/dev/null
    [ ! -d "$stage/files" ] || cp -RPlf "$stage/files/." . || fail
}

# HEAD moves with the host's unless commits were made here. An update that was cut off may have
# moved it already, to the parent of its commit.
may_follow() {
    if [ "$commit" != "$base" ]; then
        [ "$incoming" != - ] && [ "$commit" = "$(git_ rev-parse -q --verify "$incoming^")" ] ||
            return 1
    fi
    [ "$new_ref" = "$ref" ] || [ "$new_ref" = - ] ||
        ! there=$(git_ rev-parse -q --verify "$new_ref") || [ "$there" = "$base" ]
}

move_index() {
    unset GIT_INDEX_FILE
    if [ "$head" != "$base" ] && [ "$head" != - ]; then
        if [ "$base" = - ]; then
            git_ read-tree "$head" || fail
        else
            git_ read-tree -m -i "$base" "$head" 2>/dev/null || git_ read-tree "$head" || fail
        fi
    fi
    [ ! -s "$ours/sparse" ] ||
        git_ update-index -z --skip-worktree --stdin <"$ours/sparse" 2>/dev/null
}

# To the host's branch, which begins where HEAD is; the commit follows with the other refs.
switch() {
    [ "$new_ref" != "$ref" ] || return 0
    if [ "$new_ref" = - ]; then
        [ "$commit" = - ] || git_ update-ref --no-deref HEAD "$commit" || fail
    else
        [ "$commit" = - ] || git_ update-ref "$new_ref" "$commit" || fail
        git_ symbolic-ref HEAD "$new_ref" || fail
    fi
}

finish() {
    way=kept
    ! may_follow || way=followed
    if [ $way = followed ]; then
        move_index
        switch
    fi
    {
        if [ "$head" != - ]; then
            case $way$new_ref in
            kept*) echo "update refs/banger/host $head" ;;
            followed-) printf 'option no-deref\nupdate HEAD %s\n' "$head" ;;
            followed*) echo "update $new_ref $head" ;;
            esac
            echo "update refs/banger/base $head"
        fi
        echo "update refs/banger/prepared $placed"
    } >"$ours/refs" || fail
    [ ! -f "$ours/unconverted.new" ] || mv -f "$ours/unconverted.new" "$ours/unconverted" || fail
    sync
    git_ update-ref --stdin <"$ours/refs" || fail
    git_ update-ref -d refs/banger/incoming || fail
    rm -f "$ours/entries" "$ours/track" "$ours/checkout" "$ours/gone" "$ours/emptied" \
        "$ours/sparse" "$ours/refs" "$ours/pack" "$ours/list"
    echo "placed $placed $way"
}

update() {
    force=$2 head=$3 new_ref=$4
    take "$1" | tar -x -f - || fail
    [ -f "$stage/end" ] || fail 'the archive is cut off'
    for each in entries track checkout gone emptied sparse unconverted.new shallow pack; do
        [ ! -e "$ours/$each" ] || rm -f "$ours/$each"
    done
    mv -f "$stage/lists/"* "$ours/" || fail
    if [ -f "$ours/pack" ]; then
        echo 'stage history'
        git_ index-pack --stdin --fix-thin >/dev/null || fail
        [ ! -f "$ours/shallow" ] || mv -f "$ours/shallow" .git/shallow || fail
    fi
    echo 'stage files'
    stage_files
    put_in_place
    finish
}

read_state
echo "state $prepared $base $commit $incoming $ref"
while read -r word one two three four; do
    case $word in
    check) check "$one" ;;
    update)
        update "$one" "$two" "$three" "$four"
        break
        ;;
    esac
done
