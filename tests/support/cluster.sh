# Runs one PostgreSQL cluster for a test process, and removes it when that process is gone, however it ended: standard input then
# ends. Reads commands, one per line, and answers `done` or `failed`.
#
# $1: the folder of PostgreSQL's programs; the rest: settings as `name=value`. If PRIMARY is set, this is a standby of the server on
# that port.
bin=$1
shift
trap '' INT TERM HUP
folder=$(mktemp -d /tmp/instant-postgres.XXXXXX) || exit 1
data=$folder/data

create() {
    if [ -n "${PRIMARY-}" ]; then
        "$bin/pg_basebackup" -D "$data" -h 127.0.0.1 -p "$PRIMARY" -U postgres -c fast -R --no-sync
    else
        "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions
    fi
}
if ! create >"$folder/log" 2>&1; then
    cat "$folder/log" >&2
    rm -rf "$folder"
    exit 1
fi
for setting in "$@" "unix_socket_directories='$folder'"; do
    echo "$setting"
done >>"$data/postgresql.conf"
echo "$folder"

control() {
    if "$bin/pg_ctl" -s -w -t 60 -D "$data" -l "$folder/log" "$@" >/dev/null 2>&1; then echo done; else echo failed; fi
}

while read -r command port; do
    case $command in
    start) control -o "-p $port" start ;;
    stop) control -m fast stop ;;
    crash) control -m immediate stop ;;
    promote) control promote ;;
    esac
done
"$bin/pg_ctl" -s -w -D "$data" -m immediate stop >/dev/null 2>&1
rm -rf "$folder"
