#!/bin/sh
# certificates.sh DIR - certificates of two authorities, for the tests of TLS:
#   ca.pem       the authority; other-ca.pem another one
#   names.pem    for localhost and 127.0.0.1
#   plain.pem    without names
#   nameless.pem of nobody at all
#   far.pem      for another host
#   expired.pem  it was good until yesterday
#   other.pem    signed by the other authority
# with NAME.key beside each NAME.pem; secret.key is names.key with a passphrase.
set -eu
mkdir -p "$1"
cd "$1"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2> /dev/null; }

# authority NAME
authority() {
	key "$1"
	openssl req -new -x509 -key "$1.key" -subj "/CN=$1" -days 30 -out "$1.pem"
}

# signed NAME AUTHORITY DAYS [NAMES]
signed() {
	key "$1"
	if [ -n "${4:-}" ]; then echo "subjectAltName=$4" > "$1.ext"; else : > "$1.ext"; fi
	openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days "$3" \
		-extfile "$1.ext" -out "$1.pem" 2> /dev/null
	rm "$1.csr" "$1.ext"
}

authority ca
authority other-ca
signed names ca 30 DNS:localhost,IP:127.0.0.1
signed plain ca 30
signed far ca 30 DNS:far.example
signed expired ca -1
signed other other-ca 30
openssl pkey -in names.key -aes256 -passout pass:secret -out secret.key
nameless() {
	key nameless
	openssl req -new -key nameless.key -subj "/" -out nameless.csr 2> /dev/null
	openssl x509 -req -in nameless.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out nameless.pem 2> /dev/null
	rm nameless.csr
}
nameless
