// Command client calls a number, says a WAV file and writes what it hears to stdout as a WAV.
//
//	go run ./examples/client 100 said.wav > heard.wav
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func main() {
	api := "http://localhost:8085"
	if len(os.Args) > 3 {
		api = os.Args[3]
	}
	said := must(os.ReadFile(os.Args[2]))
	request := must(json.Marshal(map[string]string{"to": os.Args[1]}))
	answer := must(http.Post(api+"/call", "application/json", bytes.NewReader(request)))
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		must(io.Copy(os.Stderr, answer.Body)) // a problem document: what is wrong and what to do
		os.Exit(1)
	}
	var call struct {
		ID        string `json:"id"`
		SpeakURL  string `json:"speak_url"`
		ListenURL string `json:"listen_url"`
	}
	must(0, json.NewDecoder(answer.Body).Decode(&call))

	speak, listen := connect(call.SpeakURL), connect(call.ListenURL+"&format=wav")
	must(0, wsutil.WriteClientBinary(speak, said)) // all at once: the gateway speaks it in real time
	must(0, wsutil.WriteClientText(speak, []byte(`{"type":"mark","name":"said"}`)))
	go each(speak, func(text []byte, _ ws.OpCode) {
		if bytes.Contains(text, []byte(`"type":"mark"`)) { // all before the mark was spoken
			time.AfterFunc(time.Second, func() { must(http.Post(api+"/v1/calls/"+call.ID+"/hangup", "", nil)) })
		}
	})
	each(listen, func(message []byte, kind ws.OpCode) {
		if kind == ws.OpBinary {
			must(os.Stdout.Write(message))
		} else {
			fmt.Fprintln(os.Stderr, string(message)) // says what happens
		}
	})
}

// connect opens a WebSocket; what came together with the answer to the handshake is read first.
func connect(url string) io.ReadWriter {
	conn, early, _, err := ws.Dial(context.Background(), url)
	must(0, err)
	if early == nil {
		return conn
	}
	return struct {
		io.Reader
		io.Writer
	}{io.MultiReader(early, conn), conn}
}

// each reads messages until the gateway closes the socket.
func each(socket io.ReadWriter, do func(message []byte, kind ws.OpCode)) {
	for {
		message, kind, err := wsutil.ReadServerData(socket)
		if err != nil {
			return
		}
		do(message, kind)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}
