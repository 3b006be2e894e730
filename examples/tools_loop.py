# SPDX-License-Identifier: MIT
"""Let the model call your functions: their signatures and docstrings tell it how.

    python3 examples/tools_loop.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    get_weather({"city": "Paris"}) gave Paris has no clouds and 21 degrees
    The tool says: Paris has no clouds and 21 degrees. ...
"""
from typing import Any, List

from local_server import stand_in
from openai_lite import OpenAI, function_tool


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: Its name, such as "Berlin".
    """
    return f"{city} has no clouds and 21 degrees"


stand_in()
client, tools = OpenAI(), {get_weather.name: get_weather}
items: List[Any] = [{"role": "user", "content": "Use get_weather: how is it in Paris?"}]
while True:
    response = client.responses.create(model="gpt-4o-mini", input=items, tools=tools.values())
    calls = [item for item in response.output if item.type == "function_call"]
    items += response.output
    if not calls:
        break
    for call in calls:
        output = tools[call.name].run(call.arguments)
        print(f"{call.name}({call.arguments}) gave {output}")
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
print(response.output_text)
