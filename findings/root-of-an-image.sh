#!/usr/bin/env bash
# Guess:  what a layer says of `./`, its owner, its mode and its time, is what the root directory of the container has,
#         as it is for every other directory.
# Fact:   containerd does not look at that entry: the root is always root's, 0755, and as old as the unpacking. Storage of
#         skopeo (and podman) does as the layer says with its driver vfs, and with overlay, the usual one, the root is
#         root's and 0555. umoci does as the layer says.
# Matters: an image whose builder has opened its root to a group or to everybody (`chmod g=u /`, `chmod 1777 /`), so that
#         a job under any user may write there, is closed again, and differently by each tool and driver.
#
# Seen, for `./` of user 1000, mode 0711, and `./etc/` of the same, mode 0750:
#         containerd 1.6.20, 1.7.24, 2.1.9         / 755 0        /etc 750 1000
#         skopeo 1.9.3, 1.18.0, 1.22.0, overlay    / 555 0        /etc 750 1000
#         the same, vfs; umoci 0.4.7               / 711 1000     /etc 750 1000
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
need python3
need_root
python3 - "$WORK/image" <<'END'
import hashlib, io, json, pathlib, sys, tarfile
image = pathlib.Path(sys.argv[1])
(image / "blobs/sha256").mkdir(parents=True)
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
    for name, mode in (("./", 0o711), ("./etc/", 0o750)):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.mtime = tarfile.DIRTYPE, mode, 1000, 1_700_000_000
        tar.addfile(entry)
def blob(media_type, content):
    digest = hashlib.sha256(content).hexdigest()
    (image / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest, "size": len(content)}
layer = blob("layer.v1.tar", layer.getvalue())
config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
config = blob("config.v1+json", json.dumps(config).encode())
manifest = blob("manifest.v1+json", json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode())
manifest["annotations"] = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "localhost/root:1"}
(image / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
(image / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
END
tar -C "$WORK/image" -cf "$WORK/image.tar" .

# look DIRECTORY: mode and owner of the root and of a directory in it.
look() { (cd "$1" && stat -c '%n %a %u' . etc | paste -s -d' '); }

daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    suite=${SUITE[$version]}
    images() { in_tools "$suite" ctr --address "$WORK/$suite.d/sock" --namespace "finding-$$-$version" images "$@" >"$WORK/output"; }
    images import "$WORK/image.tar"
    mkdir "$WORK/root.$version"
    images mount localhost/root:1 "$WORK/root.$version"
    SEEN=$(look "$WORK/root.$version")
    images unmount --rm "$WORK/root.$version"
    expect "containerd $version" ". 755 0 etc 750 1000" "$SEEN"
done

get_skopeo 1.9.3 1.18.0 1.22.0
for version in 1.9.3 1.18.0 1.22.0; do
    for driver in overlay vfs; do
        STORAGE=$WORK/storage.$version.$driver
        skopeo "$version" copy --quiet "oci:$WORK/image:1" \
            "containers-storage:[$driver@$STORAGE/files+$STORAGE/run]localhost/root:1"
        case $driver in
        overlay) expect "skopeo $version, overlay" ". 555 0 etc 750 1000" "$(look "$STORAGE"/files/overlay/*/diff)" ;;
        vfs) expect "skopeo $version, vfs" ". 711 1000 etc 750 1000" "$(look "$STORAGE"/files/vfs/dir/*)" ;;
        esac
    done
done

get bookworm umoci=0.4.7+ds-3+b7
"$(tool bookworm umoci)" unpack --image "$WORK/image:1" "$WORK/unpacked" >"$WORK/output"
expect "umoci" ". 711 1000 etc 750 1000" "$(look "$WORK/unpacked/rootfs")"
verdict
