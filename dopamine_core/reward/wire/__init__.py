"""Robometer's HTTP wire format: batches of samples become requests and back, answers become replies and back.

Used by the server (``serving/``) and by the client back end (``models/robometer_http.py``); nothing here opens a
connection.
"""
