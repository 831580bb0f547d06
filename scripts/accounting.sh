# shellcheck shell=bash
# The accounting of a cluster: slurmdbd, and a mariadbd of its own as an ordinary user; sourced by cluster.

# The users that have an account.
ACCOUNTED="root daemon"

has_accounting() { [ -f "$DIR/slurmdbd.conf" ]; }

# The server without its package for a system, which would start one.
need_accounting() {
    need_commands slurmdbd=slurmdbd mariadbd=mariadb-server-core
    [ ! -f "$DIR/slurm.conf" ] || has_accounting ||
        die "start a cluster with accounting" "the one in $DIR has been made without"
}

# write_accounting_config PORT
write_accounting_config() {
    cat >>"$DIR/slurm.conf" <<END
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$1
AccountingStoragePass=$DIR/munge.socket
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
END
    # It is only read if nobody else can do so.
    (umask 077 && cat >"$DIR/slurmdbd.conf") <<END
DbdHost=$(hostname -s)
DbdAddr=127.0.0.1
DbdPort=$1
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket
PidFile=$DIR/slurmdbd.pid
LogFile=$DIR/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=root
END
}

start_accounting() {
    [ -d "$DIR/database" ] || make_database
    start_mariadbd
    MYSQL_UNIX_PORT=$DIR/database/socket launch slurmdbd slurmdbd
    comes "slurmdbd" slurm sacctmgr --noheader list cluster
    [ -z "$(slurm sacctmgr --noheader list cluster)" ] || return 0
    quietly "$DIR/sacctmgr.log" "add users" env SLURM_CONF="$DIR/slurm.conf" sh -ec "
        sacctmgr --immediate add cluster loop
        sacctmgr --immediate add account test
        for user in $ACCOUNTED; do
            sacctmgr --immediate add user \$user account=test
            sacctmgr --immediate modify user \$user set defaultaccount=test
        done"
}

# The system tables, as mariadb-install-db makes them, with more packages. Only root may connect.
make_database() {
    local new=$DIR/database.new sql=/usr/share/mysql/mysql_system_tables
    rm -rf "$new"
    install -d -m 700 -o nobody "$new"
    cat - $sql.sql ${sql}_data.sql <<<"CREATE DATABASE mysql;
USE mysql;
SET @auth_root_socket='root';" |
        mariadbd --no-defaults --user=nobody --datadir="$new" --bootstrap >"$DIR/mariadbd.start" 2>&1 ||
        die "make a database" "see $DIR/mariadbd.start"
    mv "$new" "$DIR/database"
}

# It does not go into the background by itself.
start_mariadbd() {
    if daemon mariadbd >/dev/null; then return; fi
    rm -f "$DIR/database/socket"
    env "$MARK" setsid mariadbd --no-defaults --user=nobody --datadir="$DIR/database" --skip-networking \
        --socket="$DIR/database/socket" >"$DIR/mariadbd.log" 2>&1 </dev/null &
    echo $! >"$DIR/mariadbd.pid"
    comes "mariadbd" test -S "$DIR/database/socket"
}

# comes NAME COMMAND...: wait until a daemon that was started answers so.
comes() {
    local name=$1 tries
    shift
    for ((tries = 0; tries < 300; tries++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    die "start $name" "it does not answer after 30 s; see $DIR/$name.log"
}
