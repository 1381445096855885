// Sends one notice to Saoma's gateway and brings its answer back: see ../PROTOCOL.md. Go 1.19 or later, nothing else.
//
// In a program, copy everything but main and call notify:
//
//	answer, err := notify("127.0.0.1:9999", "shop", key, map[string]any{"type": "scan", "id": "1", "scene": scene}, nil)
//
// On a command line, with the key in the environment, where others on the machine cannot read it:
//
//	NOTIFY_KEY=... go run notify.go HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]
//
// With CA.pem it speaks TLS: that authority must have signed the gateway's certificate for HOST. CERT.pem and KEY.pem are
// the client's own. It prints the answer. Exit code 0: ok, delivered, stored or a pong; 1: any other status; 2: no answer,
// with the reason on one line. The notice may have been recorded all the same: sending the same again is safe. (go run itself
// knows no code but 0 and 1; go build makes a program that has all three.)
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	wait     = 5 * time.Second // For everything: connecting, authentication and the answer.
	maxFrame = 65536           // Bytes.
)

func frame(message any) []byte {
	body, _ := json.Marshal(message) // Cannot fail: message was JSON before, or is a map of texts.
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// parse reads an object into a map, because for a struct Go would take a field "VERSION" for "version".
func parse(text []byte) (message map[string]any, err error) {
	if json.Unmarshal(text, &message) != nil || message == nil {
		return nil, errors.New("what should be one JSON object is none")
	}
	return message, nil
}

// receive reads the gateway's next message, however the network has cut it.
func receive(connection io.Reader) (map[string]any, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(connection, head); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head)
	if length < 1 || length > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes: is this the gateway's internal port?", length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(connection, body); err != nil {
		return nil, err
	}
	message, err := parse(body)
	if err == nil && message["type"] == "error" {
		err = fmt.Errorf("the gateway refused: %s", body)
	}
	return message, err
}

// notify returns the answer, or the pong to a ping. Without config it speaks plain text.
func notify(address, client, key string, notice map[string]any, config *tls.Config) (map[string]any, error) {
	dialer := &net.Dialer{Deadline: time.Now().Add(wait)}
	dial := dialer.Dial
	if config != nil {
		dial = (&tls.Dialer{NetDialer: dialer, Config: config}).Dial
	}
	connection, err := dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	connection.SetDeadline(dialer.Deadline)
	hello, err := receive(connection)
	if err != nil {
		return nil, err
	}
	challenge, isText := hello["challenge"].(string)
	if hello["type"] != "hello" || hello["version"] != 1.0 || !isText {
		return nil, fmt.Errorf("no hello of version 1: %v", hello)
	}
	// The key is the bytes of its text, without the line break of a file.
	proof := hmac.New(sha256.New, []byte(strings.TrimRight(key, "\r\n")))
	proof.Write([]byte(challenge))
	auth := map[string]any{"type": "auth", "client": client, "proof": fmt.Sprintf("%x", proof.Sum(nil))}
	if _, err = connection.Write(append(frame(auth), frame(notice)...)); err != nil {
		return nil, err
	}
	wanted := "answer"
	if notice["type"] == "ping" {
		wanted = "pong"
	}
	for {
		message, err := receive(connection)
		if err != nil || message["type"] == wanted {
			return message, err // Other messages are news, or of a later version.
		}
	}
}

// From here on: the command line.

// configure reads the files of the command line: the CA, and perhaps the client's own certificate and key.
func configure(files []string) (*tls.Config, error) {
	if len(files) == 0 {
		return nil, nil
	}
	ca, err := os.ReadFile(files[0])
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if err == nil && !config.RootCAs.AppendCertsFromPEM(ca) {
		err = fmt.Errorf("%s: no certificate", files[0])
	}
	if err == nil && len(files) > 1 {
		config.Certificates = make([]tls.Certificate, 1)
		config.Certificates[0], err = tls.LoadX509KeyPair(files[1], files[2])
	}
	return config, err
}

func run(arguments []string) (answer map[string]any, err error) {
	key := os.Getenv("NOTIFY_KEY")
	if count := len(arguments); key == "" || count != 3 && count != 4 && count != 6 {
		return nil, errors.New("usage: NOTIFY_KEY=... notify HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]")
	}
	notice, err := parse([]byte(arguments[2]))
	if err != nil {
		return nil, err
	}
	config, err := configure(arguments[3:])
	if err != nil {
		return nil, err
	}
	return notify(arguments[0], arguments[1], key, notice, config)
}

func main() {
	answer, err := run(os.Args[1:])
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %v s", wait.Seconds())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the gateway closed the connection")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notify:", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(2)
	}
	line, _ := json.Marshal(answer)
	fmt.Println(string(line))
	switch answer["status"] {
	case nil, "ok", "delivered", "stored": // A pong has no status.
	default:
		os.Exit(1)
	}
}
