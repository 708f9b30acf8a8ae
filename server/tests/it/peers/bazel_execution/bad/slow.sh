#!/bin/sh
echo it began
sleep 600
