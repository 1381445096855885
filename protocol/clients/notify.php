<?php
/*
Sends one notice to Saoma's gateway and brings its answer back: see ../PROTOCOL.md. PHP 8.0 or later, with its extension
openssl for TLS, and nothing else.

In a program, copy this file and call notify():

    require 'notify.php';
    $answer = notify('127.0.0.1:9999', 'shop', $key, ['type' => 'scan', 'id' => '1', 'scene' => $scene]);

On a command line, with the key in the environment, where others on the machine cannot read it:

    NOTIFY_KEY=... php notify.php HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]

With CA.pem it speaks TLS: that authority must have signed the gateway's certificate for HOST. CERT.pem and KEY.pem are
the client's own. It prints the answer. Exit code 0: ok, delivered, stored or a pong; 1: any other status; 2: no answer,
with the reason on one line. The notice may have been recorded all the same: sending the same again is safe.
*/

declare(strict_types=1);

const NOTIFY_WAIT = 5.0; // Seconds for everything: connecting, authentication and the answer.
const NOTIFY_MAX_FRAME = 65_536; // Bytes.

function notify_frame(array|object $message): string
{
    $body = json_encode($message, JSON_THROW_ON_ERROR);
    return pack('N', strlen($body)) . $body;
}

function notify_parse(string $text): object
{
    $message = json_decode($text);
    return is_object($message) ? $message : throw new RuntimeException('what should be one JSON object is none');
}

/** Reads $count bytes, however the network has cut them. */
function notify_read($connection, int $count, float $deadline): string
{
    for ($data = ''; strlen($data) < $count; $data .= $part) {
        $left = (int) max(1, ($deadline - microtime(true)) * 1e6);
        stream_set_timeout($connection, intdiv($left, 1_000_000), $left % 1_000_000);
        $part = @fread($connection, $count - strlen($data));
        if ($part === '' || $part === false) {
            $late = stream_get_meta_data($connection)['timed_out'];
            $closed = 'the gateway closed the connection';
            throw new RuntimeException($late ? 'no answer within ' . NOTIFY_WAIT . ' s' : $closed);
        }
    }
    return $data;
}

/** The gateway's next message. */
function notify_receive($connection, float $deadline): object
{
    $length = unpack('N', notify_read($connection, 4, $deadline))[1];
    if ($length < 1 || $length > NOTIFY_MAX_FRAME) {
        throw new RuntimeException("a frame of $length bytes: is this the gateway's internal port?");
    }
    $message = notify_parse(notify_read($connection, $length, $deadline));
    if (($message->type ?? null) === 'error') {
        throw new RuntimeException('the gateway refused: ' . json_encode($message));
    }
    return $message;
}

/** Returns the answer, or the pong to a ping. $tls has PHP's context options for "ssl", such as cafile. */
function notify(string $address, string $client, string $key, array|object $notice, ?array $tls = null): object
{
    $deadline = microtime(true) + NOTIFY_WAIT;
    $options = ['ssl' => ['peer_name' => trim(preg_replace('/:\d+$/', '', $address), '[]')] + ($tls ?? [])];
    $url = ($tls === null ? 'tcp://' : 'tls://') . $address;
    $context = stream_context_create($options);
    $connection = @stream_socket_client($url, $code, $why, NOTIFY_WAIT, STREAM_CLIENT_CONNECT, $context);
    if ($connection === false) {
        throw new RuntimeException('no connection: ' . ($why ?: error_get_last()['message'] ?? 'unknown'));
    }
    $hello = notify_receive($connection, $deadline);
    if ([$hello->type ?? null, $hello->version ?? null] !== ['hello', 1] || !is_string($hello->challenge ?? null)) {
        throw new RuntimeException('no hello of version 1: ' . json_encode($hello));
    }
    // The key is the bytes of its text, without the line break of a file.
    $proof = hash_hmac('sha256', $hello->challenge, rtrim($key, "\r\n"));
    $auth = ['type' => 'auth', 'client' => $client, 'proof' => $proof];
    @fwrite($connection, notify_frame($auth) . notify_frame($notice));
    $wanted = (((object) $notice)->type ?? null) === 'ping' ? 'pong' : 'answer';
    do {
        $message = notify_receive($connection, $deadline);
    } while (($message->type ?? null) !== $wanted); // Other messages are news, or of a later version.
    return $message;
}

// From here on: the command line.

function notify_main(string ...$words): int
{
    $key = getenv('NOTIFY_KEY');
    if (!in_array(count($words), [3, 4, 6]) || !$key) {
        throw new RuntimeException(
            "usage: NOTIFY_KEY=... notify.php HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]"
        );
    }
    [$address, $client, $notice] = $words;
    $files = array_slice($words, 3);
    $tls = array_combine(array_slice(['cafile', 'local_cert', 'local_pk'], 0, count($files)), $files);
    $answer = notify($address, $client, $key, notify_parse($notice), $tls ?: null);
    echo json_encode($answer), "\n";
    return in_array($answer->status ?? 'ok', ['ok', 'delivered', 'stored'], true) ? 0 : 1;
}

if (PHP_SAPI === 'cli' && realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    try {
        exit(notify_main(...array_slice($argv, 1)));
    } catch (Throwable $problem) {
        fwrite(STDERR, 'notify: ' . preg_replace('/\s+/', ' ', $problem->getMessage()) . "\n");
        exit(2);
    }
}
