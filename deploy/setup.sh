# setup.sh - sourced by ./demo and ./test: Debian packages, Python packages, a build. Idempotent, and fast when all is there.
#
# With root, or sudo, what is missing is installed with apt-get. Without, the exact list is printed and the script ends with 2.
# setup_root   the repository; the caller's working directory is left alone
# AFT_JOBS     how many compilers at once (default: as many as there are processors)

setup_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup_logs=$setup_root/build/logs
setup_jobs=${AFT_JOBS:-$(nproc)}

SETUP_BUILD=(build-essential cmake ninja-build pkg-config librdkafka-dev libavro-dev librocksdb-dev libcmocka-dev libjansson-dev
    libcurl4-openssl-dev libmicrohttpd-dev libsodium-dev libxxhash-dev zlib1g-dev)
SETUP_TEST=(libmpfr-dev) # what tests need beside: arithmetic in multiple precision, to measure our own by
SETUP_PYTHON=(python3 python3-venv)
SETUP_CHECK=(clang clang-tidy clang-format git)
SETUP_SANITIZE=(libclang-rt-14-dev)
SETUP_KAFKA=(maven curl)
SETUP_PIP=(fastavro==1.13.1 confluent-kafka==2.16.1 mypy==1.18.2 numpy==2.2.6 pytest==8.4.2 setuptools==80.9.0 wheel==0.45.1)

# setup_again COMMAND... : three tries, with growing pauses, for what is fetched from elsewhere; the last one's exit code.
setup_again() {
    local pause code=0
    for pause in 5 20 0; do
        code=0
        "$@" || code=$?
        [ $code -ne 0 ] && [ $pause -gt 0 ] || return $code
        setup_say "$1 ended with $code; again in $pause s"
        sleep $pause
    done
}

setup_say() { printf '%s\n' "$@" >&2; } # a line an argument

# setup_missing PACKAGE... prints those that are not installed. A tool that is there from elsewhere counts as its package.
setup_missing() {
    local package
    for package; do
        case $package in
            python3 | git | curl) command -v "$package" >/dev/null && continue ;;
            python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null && continue ;;
            maven) command -v mvn >/dev/null && continue ;;
            default-jre-headless) setup_java && continue ;;
        esac
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# setup_java: is there a Java that Kafka 4 runs on, 17 or later?
setup_java() {
    local version
    version=$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ]
}

# setup_as_root prints the words to put before a command to run it as root; fails where that cannot be.
setup_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        echo env
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        echo sudo
    else
        return 1
    fi
}

# setup_packages PACKAGE... installs what is missing.
setup_packages() {
    local missing as_root
    if ! command -v dpkg-query >/dev/null; then
        setup_say "This is no Debian: nothing is installed. On Debian 12 the packages would be: $*"
        return 0
    fi
    mapfile -t missing < <(setup_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! as_root=$(setup_as_root); then
        setup_say "These packages are missing, and there is neither root nor sudo to install them. Ask for:" "" \
            "    apt-get install ${missing[*]}" ""
        exit 2
    fi
    setup_say "installing ${missing[*]}"
    mkdir -p "$setup_logs"
    if ! setup_apt "$as_root" "${missing[@]}" >"$setup_logs/packages.log" 2>&1; then
        tail -n 20 "$setup_logs/packages.log" >&2
        setup_say "apt-get failed; the whole log is build/logs/packages.log"
        exit 1
    fi
}

setup_apt() {
    local as_root=$1
    shift
    local apt=("$as_root" DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    setup_again setup_apt_once "$@"
}

setup_apt_once() { # uses apt
    "${apt[@]}" update || true # one source that does not answer need not matter: the installation decides
    "${apt[@]}" install --no-install-recommends "$@"
}

# setup_configure PRESET; setup_build PRESET [TARGET...]: the preset's tree is build/PRESET. Only what fails is talked about.
setup_configure() {
    local launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    (cd "$setup_root" && cmake --preset "$1" "${launcher[@]}" >"$setup_logs/$1-configure.log" 2>&1) || {
        cat "$setup_logs/$1-configure.log"
        return 1
    }
}

setup_build() {
    local preset=$1 targets=()
    shift
    [ $# -eq 0 ] || targets=(--target "$@")
    setup_configure "$preset" &&
        (cd "$setup_root" && cmake --build --preset "$preset" -j "$setup_jobs" "${targets[@]}" -- --quiet -k 0)
}

# setup_python makes .cache/venv with the clients that the checks use, as a user's own programs would; prints its python.
setup_python() {
    local venv=$setup_root/.cache/venv mark
    mark=$venv/.has-$(printf '%s\n' "${SETUP_PIP[@]}" | cksum | cut -d' ' -f1)
    if [ ! -e "$mark" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" && setup_again "$venv/bin/pip" install --quiet --disable-pip-version-check "${SETUP_PIP[@]}" || {
            setup_say "the clients' Python packages (${SETUP_PIP[*]}) could not be installed: is PyPI, or a mirror of it, within reach?"
            return 1
        }
        touch "$mark"
    fi
    printf '%s\n' "$venv/bin/python"
}

# setup_wheel BUILD builds the wheel `aftertouch` over BUILD's library, as a user would, installs it into BUILD/python/site, and prints
# that folder (for PYTHONPATH, with setup_python's python, or AFT_PYTHON where that is set).
setup_wheel() {
    local python out=$1/python source
    python=${AFT_PYTHON:-$(setup_python)} || return 1
    source=$out/source
    rm -rf "$out"
    mkdir -p "$out"
    cp -r "$setup_root/client/python" "$source" # setuptools builds beside its sources
    AFTERTOUCH_LIBRARY=$1/lib/libaftertouch.so.0 "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --wheel-dir "$out" "$source" >&2 &&
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$out/site" "$out"/aftertouch-*.whl >&2 || return 1
    printf '%s\n' "$out/site"
}
