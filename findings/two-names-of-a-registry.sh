#!/usr/bin/env bash
# Guess:  a file with credentials that has two names of one registry, such as the addresses of its two interfaces, gives
#         the same credentials at each call.
# Fact:   it gives now these, now those: skopeo, and what else is made with its library, normalises the names while it
#         goes through the file in no order.
# Matters: of an array's jobs some have their image and the others are refused by the registry, and a second try may
#         work. Old files of Docker have both names.
#
# Seen (skopeo 1.9.3, 1.18.0, 1.22.0): 2 different users in 40 calls
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
need_root
need python3
PORT=$((20000 + $$ % 10000))
# A registry that asks everybody for a password, and writes down who has come.
python3 - "$PORT" "$WORK/users" <<'END' &
import base64
import http.server
import sys


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        given = self.headers.get("Authorization")
        if given:
            with open(sys.argv[2], "a") as users:
                print(base64.b64decode(given.split()[1]).decode().split(":")[0], file=users)
        self.send_response(404 if given else 401)
        if not given:
            self.send_header("WWW-Authenticate", 'Basic realm="finding"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
END
PIDS+=($!)
need curl
within 20 curl -so "$WORK/output" "127.0.0.1:$PORT/v2/"

entry() { printf '"https://127.0.0.1:%s/%s/": {"auth": "%s"}' "$PORT" "$1" "$(printf '%s:secret' "$2" | base64)"; }
echo "{\"auths\": {$(entry v1 ann), $(entry v2 ben)}}" >"$WORK/auth.json"
for version in 1.9.3 1.18.0 1.22.0; do
    get_skopeo "$version"
    : >"$WORK/users"
    for _ in $(seq 40); do
        skopeo "$version" inspect --authfile "$WORK/auth.json" --tls-verify=false \
            "docker://127.0.0.1:$PORT/job:1" 2>/dev/null || true
    done
    expect "$version" "ann ben" "$(sort -u "$WORK/users" | paste -sd' ')"
done
verdict
