#!/usr/bin/env bash
# Prints what a Go binary is made of, as a CycloneDX 1.5 document, from the build information
# that Go puts into each binary. The same binary gives the same document.
#
#   scripts/sbom.sh BINARY VERSION > moverisd.cdx.json
#
# SOURCE_DATE_EPOCH is the time in it, now if it is not set.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: scripts/sbom.sh BINARY VERSION" >&2; exit 64; }
binary=$(realpath "$1")
cd "$(dirname "$0")/.."
. scripts/lib.sh
need go "install Go 1.26 or newer from https://go.dev/dl/"

at=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)
sum=$(sha256sum "$binary" | cut -d' ' -f1)
# A name for this document that depends on the binary alone, in the form of a version 8 UUID.
serial=${sum:0:8}-${sum:8:4}-8${sum:13:3}-a${sum:17:3}-${sum:20:12}

go version -m "$binary" | awk -v version="$2" -v at="$at" -v sum="$sum" -v serial="$serial" '
  function quote(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
  # purl has names of Go modules in lower case, and "+" escaped.
  function purl(name, v) { gsub(/\+/, "%2B", v); return "pkg:golang/" tolower(name) "@" v }
  function component(type, name, v) {
    return sprintf("{\"type\":%s,\"bom-ref\":%s,\"name\":%s,\"version\":%s,\"purl\":%s",
      quote(type), quote(purl(name, v)), quote(name), quote(v), quote(purl(name, v)))
  }
  function add(name, v, hash) {
    list[++n] = component("library", name, v)
    if (hash != "") list[n] = list[n] ",\"properties\":[{\"name\":\"go:sum\",\"value\":" quote(hash) "}]"
    list[n] = list[n] "}"
    refs[n] = quote(purl(name, v))
  }
  NR == 1 { go = $NF; sub(/^go/, "", go) }
  $1 == "mod" { main = $2 }
  # A replaced module is what replaces it.
  $1 == "dep" { name[++d] = $2; ver[d] = $3; hash[d] = $4 }
  $1 == "=>" { name[d] = $2; ver[d] = $3; hash[d] = $4 }
  $1 == "build" { properties = properties ",{\"name\":\"go:build\",\"value\":" quote($2) "}" }
  END {
    if (main == "") { print "no build information" > "/dev/stderr"; exit 1 }
    add("stdlib", go)
    for (i = 1; i <= d; i++) add(name[i], ver[i], hash[i])
    top = component("application", main, version)
    printf "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"serialNumber\":\"urn:uuid:%s\",\"version\":1,\n", serial
    printf "\"metadata\":{\"timestamp\":%s,\"component\":%s,\"hashes\":[{\"alg\":\"SHA-256\",\"content\":%s}],\"properties\":[%s]}},\n",
      quote(at), top, quote(sum), substr(properties, 2)
    printf "\"components\":[\n"
    for (i = 1; i <= n; i++) printf "%s%s\n", list[i], i < n ? "," : ""
    printf "],\n\"dependencies\":[{\"ref\":%s,\"dependsOn\":[", quote(purl(main, version))
    for (i = 1; i <= n; i++) printf "%s%s", refs[i], i < n ? "," : ""
    printf "]}]}\n"
  }'
