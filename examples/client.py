"""Calls a number, says a WAV, writes what it hears to stdout as a WAV. Needs: pip install websockets"""
import asyncio, json, sys, urllib.request, websockets

async def hang_up_when_said(speak, url):
    async for text in speak:
        if json.loads(text)["type"] == "mark":                       # all before the mark was spoken
            await asyncio.sleep(1)                                    # a moment for the answer
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE"))

async def main(number, wav, api="http://localhost:8085"):
    call = json.load(urllib.request.urlopen(api + "/call", json.dumps({"to": number}).encode()))
    async with websockets.connect(call["speak_url"]) as speak, websockets.connect(call["listen_url"] + "&format=wav") as listen:
        await speak.send(open(wav, "rb").read())                     # all at once: the gateway speaks it in real time
        await speak.send('{"type":"mark","name":"said"}')
        waiting = asyncio.create_task(hang_up_when_said(speak, api + "/v1/calls/" + call["id"]))
        async for message in listen:                                  # bytes are audio, text says what happens
            sys.stdout.buffer.write(message) if isinstance(message, bytes) else print(message, file=sys.stderr)

asyncio.run(main(*sys.argv[1:]))
