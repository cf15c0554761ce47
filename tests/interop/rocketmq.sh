# rocketmq.sh - a real RocketMQ beside mqfs; comes after tests/functions.sh.
#
#	requires_rocketmq			fetched by Maven, once; else the test is skipped
#	rocketmq_version=VERSION		of the name server and the brokers started from here on
#	start_namesrv				at $namesrv
#	start_broker NAME [KEY=VALUE...]	its store is $work/NAME, its port ${port[NAME]}
#	stop_broker NAME			as an operator does; kill_broker NAME: kill -9
#	java_command+=("$tls_too")		servers started from here on take TLS as well
#	start_registrar NAME AT HA TOPIC...	the name server knows such a broker, till kill_broker registrar
#	rocketmq < SCRIPT			its client (always of $oldest); see Driver.java
#	answer N				what it said to the script's line N
#	bodies N				the same, of the messages only their bodies
#	start_flow				messages from now on, and what becomes of them; see Flow.java
#	flow COMMAND...				told to it; prints its answer, or fails the test
#	mqadmin COMMAND ARGUMENT...		its administration tool, of $rocketmq_version
#
# A broker serves slaves one port above its own.  All is on loopback, and small:
# $small is what both sides must have alike, $mqfs_small the same for mount.mqfs.
#
# shellcheck shell=bash

interop=$top_srcdir/tests/interop
built=$top_builddir/tests/interop
segment=65536
small=(maxMessageSize=30000 "mappedFileSizeCommitLog=$segment" mappedFileSizeConsumeQueue=2000
	maxHashSlotNum=1000 maxIndexNum=4000)
# A busy machine is slow, not wrong: a Java broker has patience with it.  And it makes it no busier: with
# its own settings 5.x spins for ten seconds after it started (TransactionMetricsFlushService), and
# compares 38 MB byte by byte once a second (TimerWheel.flush()).
patient=(brokerFastFailureEnable=false osPageCacheBusyTimeOutMills=60000 slaveTimeout=60000 syncFlushTimeout=60000
	registerBrokerTimeoutMills=30000 transactionMetricFlushInterval=200 timerFlushIntervalMs=60000)
java_patience=200		# seconds for a JVM to come and to go: one of 5.x computes 7 s for that
mqfs_small=$(IFS=,; echo "${small[*]}")
tls_too=-Dtls.server.mode=permissive	# as RocketMQ comes: one port for both
export mqfs_small tls_too
namesrv=
declare -A port=() java=()	# name -> listenPort, pid

# --- what is needed ------------------------------------------------------------

oldest=4.9.7 newest=5.5.0
rocketmq_version=${MQFS_ROCKETMQ:-$oldest}

fetch_seconds=150		# of each version, at most

# Of each version: the jars, as Maven has them; the driver is compiled against the oldest.
jars_of() { cat "$built/jars.$1"; }

is_fetched() {
	local version
	for version in "$oldest" "$newest"; do
		[ "$built/jars.$version" -nt "$interop/pom.xml" ] && jars_of "$version" | tr : '\n' | xargs -d '\n' ls || return 1
	done
}

fetch() {
	local version
	for version in "$oldest" "$newest"; do
		timeout "$fetch_seconds" mvn -B -q -f "$interop/pom.xml" -Drocketmq.version="$version" \
			dependency:build-classpath "-Dmdep.outputFile=$built/jars.$version" || return 1
	done
}

is_compiled() {
	[ "$built/Driver.class" -nt "$interop/Driver.java" ] && [ "$built/Flow.class" -nt "$interop/Flow.java" ]
}

compile() {
	javac -cp "$(jars_of "$oldest")" -d "$built" "$interop/Driver.java" "$interop/Flow.java"
}

requires_rocketmq() {
	requires_tool java javac mvn
	mkdir -p "$built"
	if ! (flock 3 && { is_fetched || fetch; } && { is_compiled || compile; }) > "$work/fetch.log" 2>&1 3> "$built/lock"; then
		tail -n 20 "$work/fetch.log" >&9
		skip "RocketMQ cannot be had from Maven"
	fi
	mkdir "$work/conf"
	log_setup "" > "$work/conf/logback.xml"
	log_setup org.apache.rocketmq.logging. > "$work/conf/logback5.xml"	# 5.x has a copy of the library
	cp "$work/conf/logback.xml" "$work/conf/logback_broker.xml"
	cp "$work/conf/logback.xml" "$work/conf/logback_namesrv.xml"
	cp "$work/conf/logback.xml" "$work/conf/logback_tools.xml"
	# What it does to its buffers is closed to it since Java 9 unless opened; full disks are not its concern.
	# A server that takes TLS makes two RSA keys when it starts, which is most of its start: $tls_too has it do so.
	java_command=(java -Xms32m -Xmx256m -Dfile.encoding=UTF-8 -XX:+UseSerialGC -XX:TieredStopAtLevel=1
		-Dcom.rocketmq.remoting.client.connect.timeout=60000
		--add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED
		-Dtls.server.mode=disabled
		-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99 -Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98
		-Drocketmq.home.dir="$work" -Duser.home="$work" -Dlogback.configurationFile="$work/conf/logback.xml"
		-Drmq.logback.configurationFile="$work/conf/logback5.xml")
}

# log_setup PREFIX   warnings and errors go to stderr
log_setup() {
	cat <<-END
		<configuration><appender name="stderr" class="$1ch.qos.logback.core.ConsoleAppender">
			<target>System.err</target><encoder><pattern>%d %level %logger{0} %msg%n</pattern></encoder>
		</appender><root level="WARN"><appender-ref ref="stderr"/></root></configuration>
	END
}

# classpath_of CLASS   the driver's, or that of a program of RocketMQ's
classpath_of() {
	if [ "$1" = Driver ] || [ "$1" = Flow ]; then
		echo "$(jars_of "$oldest"):$built"
	else
		jars_of "$rocketmq_version"
	fi
}

# --- its programs ------------------------------------------------------------------

is_up_or_gone() { grep -qs 'boot success' "$2" || is_gone "${java[$1]}"; }

# start_java NAME CLASS ARGUMENT...   a program that says when it is up
start_java() {
	local name=$1 log=$work/rocketmq.$1.log
	shift
	if [ -e "$log" ]; then cat "$log" >> "${log%.log}.before"; fi
	rm -f "$log"			# the one before has said that it was up, too
	setsid "${java_command[@]}" -cp "$(classpath_of "$1")" "$@" > "$log" 2>&1 9>&- < "${input:-/dev/null}" &
	java[$name]=$!
	disown			# or bash tells of its death, too
	undo end_java "${java[$name]}"
	eventually $java_patience is_up_or_gone "$name" "$log"
	if is_gone "${java[$name]}"; then fail "RocketMQ's $name ended before it was up"; fi
}

end_java() { is_gone "$1" || kill -KILL "$1"; }

start_namesrv() {
	port[namesrv]=$(free_port)
	namesrv=127.0.0.1:${port[namesrv]}
	echo "listenPort=${port[namesrv]}" > "$work/namesrv.conf"
	start_java namesrv org.apache.rocketmq.namesrv.NamesrvStartup -c "$work/namesrv.conf"
}

# start_broker NAME [KEY=VALUE...]   what is not said is as for a master named "interop"
start_broker() {
	local name=$1
	shift
	if [ -z "${port[$name]:-}" ]; then port[$name]=$(free_port); fi
	printf '%s\n' brokerName=interop brokerIP1=127.0.0.1 brokerIP2=127.0.0.1 listenPort="${port[$name]}" \
		namesrvAddr="$namesrv" storePathRootDir="$work/$name" "${patient[@]}" "${small[@]}" "$@" > "$work/$name.conf"
	start_java "$name" org.apache.rocketmq.broker.BrokerStartup -c "$work/$name.conf"
}

stop_broker() {
	kill -TERM "${java[$1]}"
	eventually $java_patience is_gone "${java[$1]}"
}

start_registrar() {
	echo "register $*" > "$work/registrar"
	input=$work/registrar start_java registrar Driver "$namesrv"
}

kill_broker() {
	kill -KILL "${java[$1]}"
	eventually 5 is_gone "${java[$1]}"
}

rocketmq() {
	local rc=0
	timeout 300 "${java_command[@]}" -cp "$(classpath_of Driver)" Driver "$namesrv" > "$work/answers" || rc=$?
	if [ $rc != 0 ]; then
		echo "the client ended with status $rc; before it had done $(grep -cx 'done' "$work/answers" || true) lines" >&2
	fi
	return $rc
}
answer() { awk -v n="$1" '/^done$/ { line++; next } line == n - 1' "$work/answers"; }

start_flow() {
	mkfifo "$work/flow.in"
	exec 7<> "$work/flow.in"
	input=$work/flow.in start_java flow Flow "$namesrv"
}
flow() {
	local log=$work/rocketmq.flow.log n
	echo >> "$work/flowed"
	n=$(wc -l < "$work/flowed")
	echo "$n $*" >&7
	eventually 110 grep -qx "done $n" "$log"
	sed -n "s/^answer $n: \\(.\\)/\\1/p" "$log" > "$work/answer"
	cat "$work/answer"
	if grep '^failed' "$work/answer" >&9; then fail "flow $*"; fi
}
mqadmin() {
	timeout 150 "${java_command[@]}" -cp "$(jars_of "$rocketmq_version")" \
		org.apache.rocketmq.tools.command.MQAdminStartup "$@" -n "$namesrv"
}
bodies() { answer "$1" | cut -d ' ' -f 6-; }

# --- comparing ----------------------------------------------------------------------

# A segment that is not there is one that was not made ahead of need: zeros.
same_segment() {
	local other=$2
	[ -e "$other" ] || other=/dev/zero
	cmp -n "$segment" "$1" "$other"
}

holds_same_log() {
	local file
	for file in "$1"/0*; do same_segment "$file" "$2/${file##*/}" || return 1; done
}

# same_log STORE STORE   byte for byte
same_log() {
	local a=$work/$1/commitlog b=$work/$2/commitlog
	holds_same_log "$a" "$b" && holds_same_log "$b" "$a"
}

# sound_store STORE...   no view disagrees with the log
sound_store() {
	local store
	for store; do
		if ! fsck.mqfs -n "$work/$store" > "$work/fsck" 2>&1; then
			cat "$work/fsck" >&9
			fail "fsck.mqfs finds something wrong with $store"
		fi
	done
}
