"""The puppets behind the Playground: bodies that move (body), how a movement is written down (tracks, actor), how people are when
they do nothing (manner), what they do (gestures, moves, pairs, listed in actions) and the depth camera that watches them (sensor).

Numbers are metres, seconds and radians throughout.
"""
